@echo off
rem Runs hookline with the Python launcher, or with the first Python on the PATH.
setlocal
set "RUN=python"
where py >nul 2>nul
if not errorlevel 1 set "RUN=py -3"
%RUN% "%~dp0hookline" %*
exit /b %errorlevel%
